"""`fpg-serve`: a page and an HTTP API in front of the runtime; jobs that survive the process, judged in workers with limits."""
