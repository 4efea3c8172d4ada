"""What survives a crash: tables, migrations, and the one way to the database."""
