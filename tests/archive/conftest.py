from pathlib import Path

import pytest

from archive.scan import Scan, scan

UC_MERCED = Path("../shared/data/ucmerced")


@pytest.fixture(scope="session")
def uc_merced() -> Scan:
    if not UC_MERCED.exists():
        pytest.skip("../shared/data is not here")
    return scan(UC_MERCED)
