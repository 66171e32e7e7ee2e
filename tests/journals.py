"""A journal in memory, for tests of loops."""


class MemoryJournal:
    """Keeps what a loop records; never saves."""

    def __init__(self, members):
        self.records, self.divergences, self.tables = [], [], {}
        self.rows = [[] for _ in range(members)]

    def record(self, step, metric, values, alive=None):
        self.records += [(m, step, metric, v) for m, v in enumerate(values) if alive is None or alive[m]]

    def diverged(self, member, step):
        self.divergences.append((member, step))

    def table(self, name, member, rows):
        self.tables.setdefault(name, []).append((member, rows))

    def append(self, member, rows):
        self.rows[member].append(rows)

    def due(self, step, total):
        return False

    def resume(self):
        return None

    def end(self, learner, replay=None):
        pass
