"""docs/architecture.md and its example: the page shows the file, what it names exists, and the folders can be copied."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def test_the_page_shows_the_example_as_it_is():
    assert re.findall(r"```python\n(.*?)```", PAGE, re.S) == [(ROOT / "examples" / "lift_sac.py").read_text()]


def test_what_the_page_names_exists():
    """Paths, and names of code that stand in backticks."""
    paths = {name for name in re.findall(r"`((?:common|papers/\w|tests|examples)[\w/.]*)`", PAGE) if "/" in name}
    links = set(re.findall(r"\]\(\.\./([\w/.]+)\)", PAGE))
    assert len(paths) > 8 and not [path for path in paths | links if not (ROOT / path).exists()]
    code = "\n".join(path.read_text() for path in (ROOT / "common").rglob("*.py"))
    for name in re.findall(r"`([A-Z]\w+Learner|ENVIRONMENTS|Replay|OffPolicy|OnPolicy|build_policy|make)`", PAGE):
        assert re.search(rf"(class |def |^){name}\b", code, re.M), name


def test_sac_with_a_flow_is_lifted_out_and_learns(tmp_path):
    """The folders under another name, without the lab, and no way back to this repository."""
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("flows", "rl"):
        shutil.copytree(ROOT / "common" / name, mine / name)
    for name in ("errors.py", "settings.py"):
        shutil.copy(ROOT / "common" / name, mine)
    example = (ROOT / "examples" / "lift_sac.py").read_text()
    (tmp_path / "lifted.py").write_text(example.replace("from common.", "from mine."))
    code = (
        "import sys, torch, lifted; torch.set_num_threads(1); returns = lifted.train([0], 2000)[0]; "
        "assert not [name for name in sys.modules if name.split('.')[0] in ('common', 'papers')]; print(*returns)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    returns = [float(value) for value in done.stdout.split()]
    assert len(returns) == 4 and returns[-1] > returns[0] + 2
