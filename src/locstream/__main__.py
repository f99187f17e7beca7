"""``python -m locstream`` is the command `locstream`."""

import sys

from locstream.cli import main

sys.exit(main())
