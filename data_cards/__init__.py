"""Templates of the cards of corpora, and the cards of image sets made from them.

`harness.release` fills `corpus.md.j2` and `datasheet.md.j2`; `python -m data_cards`
writes the card of every registered set again from `image_set.md.j2`.
"""
