"""`python -m basismodels`."""

import sys

from basismodels.cli import main

sys.exit(main())
