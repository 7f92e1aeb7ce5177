import pytest

from switchgear.contracts.jobs import JobQueue
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.jobs_suite import JobQueueSuite
from switchgear_plugins.memory.jobs import MemoryJobs


class TestMemoryJobs(JobQueueSuite):
    ambient: FixedAmbient

    async def pass_time(self, seconds: float) -> None:
        self.ambient.advance(seconds)

    @pytest.fixture
    def queue(self) -> JobQueue:
        type(self).ambient = FixedAmbient()
        return MemoryJobs(self.ambient)
