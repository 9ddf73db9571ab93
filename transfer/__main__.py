"""`python -m transfer COMMAND ...` is `ean COMMAND ...`, also for torchrun."""

from transfer.cli import main

raise SystemExit(main())
