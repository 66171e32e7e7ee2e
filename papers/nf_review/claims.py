"""What the review claims, and what we ask beyond it; one function per claim. Its experiments are not written yet."""

from common.lab.report import stats
from common.lab.report.verdicts import conjunction


def c18_a_flow_of_a_density_is_a_density(shapes="family=planar|radial, base=normal|uniform, flows=1|2|10"):
    """A flow maps a density to a density (Section 2): with the corrected log-determinants planar and radial flows, up to
    ten in turn, keep the mass, for a normal and for a uniform base.

    Mass on a grid within 5 % of 1 for each family, base and number, one number per seed. A law: no budget.
    """
    parts = {
        f"{family}, {base}, K = {count}": stats.mean_within(
            shapes.final("mass", 1, family=family, base=base, flows=count), 0.95, 1.05
        )
        for family in shapes.setting("family")
        for base in shapes.setting("base")
        for count in shapes.setting("flows")
    }
    return conjunction(parts, "mass on the grid")
