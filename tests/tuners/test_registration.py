"""`import dcft` registers the tuners with PEFT, whatever is imported first."""

import subprocess
import sys


def test_importing_dcft_registers_it_with_peft_in_either_order():
    for code in ("import dcft, peft", "import peft, dcft", "import dcft.tuners.factored"):
        check = f"{code}\nfrom peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as m"
        check += "\nassert {'DCFT', 'SORA', 'BOTTLENECK'} <= set(m)"
        subprocess.run([sys.executable, "-c", check], check=True)
