"""The web app: transcribe recordings, synthesize texts, and look at the attention in between.

`app.main` starts it; `app.page` puts the panels together, each of which has a folder of its own.
"""
