"""Neural cellular automata: its examiner, the probes of locality, and where its samples come from."""
