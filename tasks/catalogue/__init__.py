"""The prediction tasks, one file a family; importing a file declares its tasks.

A released task never changes: what is corrected gets a higher version. Every task has
the name of its question and its window, the share of a run's steps that is seen: w20 is
20 %. A task is data; what a corpus lacks for it, `tasks.availability` tells.

Of the plan's list these are not declared, as no recorded corpus can score them yet:

noise-showdown       an analysis without submissions: `tasks.showdown`
knee                 needs streams of curves whose knees were marked
res/32to48, 32to64   need grid T-10, runs of equal settings at several resolutions
controller-gain      needs grids T-5, T-7 and T-9, runs with and without a controller
lambda, spectra, geom: need the signals and grids of the analyses that define them
"""
