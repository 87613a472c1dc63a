"""Reference agents: with language models (:mod:`discoenv.agents.llm`), by search, and of hand-written candidates."""
