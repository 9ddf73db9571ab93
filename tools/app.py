"""From a checkout: see transfer/commands/app.py."""

import sys
from pathlib import Path

# In front of this script's own folder, whose files have the names of packages.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from transfer.cli import run_command
from transfer.commands.app import main

if __name__ == "__main__":
    raise SystemExit(run_command(main))
