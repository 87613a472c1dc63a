"""What curricula reach beside random levels, and how fast the maze is beside another one."""
