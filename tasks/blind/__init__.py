"""A corpus for a leaderboard: runs whose ends are in no public file.

`release.blind` makes the public corpus and the private targets, `view.ask_hidden` puts
a task to the first, `targets.HiddenTargets` scores with the second.
"""
