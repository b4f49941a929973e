"""The web app: record and read, type and transcribe_chunk, and a look at the attention in between.

`app.main` starts it; `app.page` puts the panels together, each of which lies in a file of its own.
"""
