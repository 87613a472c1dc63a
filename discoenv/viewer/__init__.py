"""The viewer: ``discoenv view`` serves recorded runs as a local page, ``discoenv export`` writes one as a file.

Everything in a run that an agent or a learner wrote is hostile text. It leaves here only as JSON, and the page puts it
into the document as text, never as markup.
"""
