"""``python -m handler`` is the command ``handler``."""

import sys

from handler.cli import main

sys.exit(main())
