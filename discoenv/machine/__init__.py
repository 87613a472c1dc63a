"""This computer: its processes, cores, GPUs, locks and caches. Nothing here knows tasks, exams or sandboxes."""
