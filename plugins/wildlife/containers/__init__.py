"""Steps' containers on a Docker engine: how they are labelled, made, followed, ended, reaped."""
