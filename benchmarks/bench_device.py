"""What one device reaches: every part of training against a plain recipe and a floor.

One command for a GPU or a CPU; `--help` lists its options, benchmarks/README.md says
how to read what it writes. Needs torch, torchvision, numpy, scipy and pyarrow.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    # a machine with a GPU often holds a checkout and no installation
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.device.command import main

    main()
