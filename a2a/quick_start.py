"""Two libraries, imported without the terminal output that they bring along where it is installed: rich and
pygments, and httpx's own command line. That is 7 MiB and about 0.1 s of a process that only serves.

Imported before everything else of the package; who wants rich imports it afterwards as ever.
"""

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules

if "rich" not in _modules:
    _modules["rich"] = None
    try:
        import structlog  # noqa: F401 for what it does not import
    finally:
        del _modules["rich"]
_modules.setdefault("httpx._main", None)
