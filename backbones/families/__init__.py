"""Families of networks: a file is a family, called by the file's name; those with an underscore hold the modules.

`backbones.arch` finds them and has them by name.
"""
