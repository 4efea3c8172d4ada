"""The REST API: shapes in and out, errors as problem+json, one router per resource."""
