"""The stages of a search; each turns artefacts of the work directory into another one."""
