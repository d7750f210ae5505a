"""A container's process: one function, or all of them, behind the stage's front. Run as `-m sceau.cli.container`."""
