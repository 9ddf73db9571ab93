"""The body of every command, a file each: `parse_args` and `main(argv)`, which returns the exit status."""
