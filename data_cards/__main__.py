"""`python -m data_cards`: write the card of every registered image set again."""

import logging

from data_cards.sets import write_cards

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for path in write_cards():
        logging.info("%s", path)
