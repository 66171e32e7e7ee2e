"""The hyperparameters, from the declarations that validate and describe them."""

import dataclasses

import pandas as pd

from papers.trpo_nf import config


def table_trpo_nf_hyperparameters():
    """Settings of TRPO, ACKTR, PPO and the toys: default, unit, and where each value stands (Appendices A and B, the
    authors' code, or our choice). What the preset "released" changes is listed under preset."""
    rows = []
    for name, cls in {"TRPO": config.TRPONF, "ACKTR": config.ACKTR, "PPO": config.PPONF, "toys": config.Toys}.items():
        for field in dataclasses.fields(cls):
            facts = field.metadata
            rows.append(
                {
                    "algorithm": name,
                    "setting": field.name,
                    "value": str(field.default),
                    "unit": facts["unit"],
                    "meaning": facts["meaning"],
                    "source": facts["source"],
                }
            )
    return pd.DataFrame(rows)
