import threading

import pytest

from domain.clock import later, utc_now
from domain.errors import JobError
from domain.jobs import JobState
from labeling_store import jobs
from labeling_store.db import Store


@pytest.fixture
def work(tmp_path):
    store = Store.open(tmp_path / "jobs.db", create=True)
    yield store
    store.close()


def claim(work):
    return jobs.claim_job(work, "worker", now=utc_now())


def state(work, job_id):
    return jobs.get_job(work, job_id).state


def test_jobs_are_done_in_order_and_keep_their_parameters(work):
    params = {"pairs": 100, "strategy": "mgue", "nested": [1, None, {"é": 0.5}]}
    first, second = jobs.enqueue(work, "train", params), jobs.enqueue(work, "propose", {})
    job = claim(work)
    assert (job.job_id, job.kind, job.params, job.attempt) == (first, "train", params, 1)
    assert (job.state, job.started_at, job.ended_at) == (JobState.RUNNING, job.heartbeat_at, None)
    assert claim(work).job_id == second
    assert claim(work) is None


def test_kinds_that_come_last_wait_for_all_others(work):
    for kind in ("views", "train", "propose"):
        jobs.enqueue(work, kind, {})
    assert jobs.is_waiting(work, but=("views",))
    claimed = [jobs.claim_job(work, "w", now=utc_now(), last=("views",)) for _ in range(3)]
    assert [job.kind for job in claimed] == ["train", "propose", "views"]
    jobs.enqueue(work, "views", {})
    assert not jobs.is_waiting(work, but=("views",))


def test_the_newest_job_of_a_kind_is_found_among_many_others(work):
    assert jobs.newest_job(work, "views") is None
    wanted = [jobs.enqueue(work, "views", {}) for _ in range(2)][-1]
    for _ in range(30):
        jobs.enqueue(work, "train", {})
    assert jobs.newest_job(work, "views").job_id == wanted


def test_a_unique_job_is_queued_once_until_it_ends(work):
    first, new = jobs.enqueue_once(work, "round", {}, by="one")
    assert new
    assert jobs.enqueue_once(work, "round", {}, by="two") == (first, False)
    assert jobs.enqueue_once(work, "train", {})[0] != first
    job = claim(work)
    assert (job.job_id, job.queued_by) == (first, "one")
    assert jobs.enqueue_once(work, "round", {}) == (first, False)
    jobs.finish(work, first, job.attempt)
    again, new = jobs.enqueue_once(work, "round", {})
    assert new
    assert again != first


def test_each_job_has_a_key_unless_it_goes_on_with_another(work):
    first, second = jobs.enqueue(work, "train", {}), jobs.enqueue(work, "train", {})
    keys = [jobs.get_job(work, job_id).key for job_id in (first, second)]
    assert len(set(keys)) == 2
    third = jobs.enqueue(work, "train", {}, key=keys[0])
    assert jobs.get_job(work, third).key == keys[0]


def test_a_cancelled_job_is_not_queued_again_when_its_worker_stops(work):
    job_id = jobs.enqueue(work, "train", {})
    job = claim(work)
    jobs.request_cancel(work, job_id)
    jobs.requeue(work, job_id, job.attempt)
    ended = jobs.get_job(work, job_id)
    assert ended.state is JobState.CANCELLED
    assert ended.ended_at is not None


def test_many_workers_never_get_the_same_job(work):
    for number in range(60):
        jobs.enqueue(work, "query", {"n": number})
    got, barrier = [], threading.Barrier(6)

    def take():
        barrier.wait()
        while (job := claim(work)) is not None:
            got.append(job.job_id)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 61))


def test_a_heartbeat_shows_progress_and_hears_of_a_cancel(work):
    job_id = jobs.enqueue(work, "train", {})
    job = claim(work)
    assert not jobs.heartbeat(work, job_id, job.attempt, progress=0.4, message="epoch 2")
    seen = jobs.get_job(work, job_id)
    assert (seen.progress, seen.message) == (0.4, "epoch 2")
    jobs.request_cancel(work, job_id)
    assert jobs.heartbeat(work, job_id, job.attempt, progress=1.2, message="")
    jobs.cancelled(work, job_id, job.attempt)
    assert state(work, job_id) is JobState.CANCELLED


def test_a_waiting_job_that_is_cancelled_never_starts(work):
    job_id = jobs.enqueue(work, "train", {})
    jobs.request_cancel(work, job_id)
    assert claim(work) is None
    assert jobs.get_job(work, job_id).ended_at is not None


def test_a_finished_job_is_whole_and_cannot_be_cancelled(work):
    job_id = jobs.enqueue(work, "train", {})
    jobs.finish(work, job_id, claim(work).attempt)
    jobs.request_cancel(work, job_id)
    job = jobs.get_job(work, job_id)
    assert (job.state, job.progress, job.error) == (JobState.DONE, 1.0, None)


def test_a_failed_job_says_why(work):
    job_id = jobs.enqueue(work, "train", {})
    jobs.fail(work, job_id, claim(work).attempt, "no pairs")
    assert (state(work, job_id), jobs.get_job(work, job_id).error) == (JobState.FAILED, "no pairs")


def test_a_silent_worker_loses_the_job_and_is_told(work):
    job_id = jobs.enqueue(work, "train", {})
    dead = claim(work)
    assert jobs.recover_stale(work, now=utc_now(), stale_s=30) == 0
    assert jobs.recover_stale(work, now=later(utc_now(), 31), stale_s=30) == 1
    taken_over = claim(work)
    assert (taken_over.job_id, taken_over.attempt) == (job_id, 2)
    for late in (jobs.finish, jobs.cancelled, jobs.requeue):
        with pytest.raises(JobError, match="does not own"):
            late(work, job_id, dead.attempt)
    with pytest.raises(JobError, match="does not own"):
        jobs.heartbeat(work, job_id, dead.attempt, progress=0, message="")
    jobs.finish(work, job_id, taken_over.attempt)


def test_a_job_that_kills_its_worker_three_times_fails(work):
    job_id = jobs.enqueue(work, "train", {})
    for _ in range(jobs.MAX_ATTEMPTS):
        assert claim(work).job_id == job_id
        jobs.recover_stale(work, now=later(utc_now(), 1), stale_s=0)
    assert claim(work) is None
    job = jobs.get_job(work, job_id)
    assert job.state is JobState.FAILED
    assert "3 times" in job.error


def test_a_job_asked_to_stop_is_not_started_again_after_a_crash(work):
    job_id = jobs.enqueue(work, "train", {})
    claim(work)
    jobs.request_cancel(work, job_id)
    jobs.recover_stale(work, now=later(utc_now(), 1), stale_s=0)
    assert state(work, job_id) is JobState.CANCELLED


def test_a_heartbeat_from_the_future_counts_as_silence(work):
    """The clock was set back; otherwise the job would hang until it catches up."""
    job_id = jobs.enqueue(work, "train", {})
    claim(work)
    jobs.recover_stale(work, now=later(utc_now(), -86400), stale_s=0)
    assert state(work, job_id) is JobState.QUEUED


def test_a_stopping_worker_gives_its_job_back_without_counting_it(work):
    job_id = jobs.enqueue(work, "train", {})
    for _ in range(5):
        jobs.requeue(work, job_id, claim(work).attempt)
    assert claim(work).attempt == 1


def test_the_log_is_read_from_where_one_stopped(work):
    first, second = jobs.enqueue(work, "a", {}), jobs.enqueue(work, "b", {})
    for text in ("one", "two", "three"):
        jobs.append_log(work, first, text)
    jobs.append_log(work, second, "other")
    assert [line.text for line in jobs.job_log(work, first)] == ["one", "two", "three"]
    assert [line.text for line in jobs.job_log(work, first, after=2)] == ["three"]


def test_the_newest_jobs_are_listed_first(work):
    ids = [jobs.enqueue(work, "a", {}) for _ in range(5)]
    assert [job.job_id for job in jobs.list_jobs(work, limit=2)] == ids[:-3:-1]
    assert jobs.get_job(work, 99) is None
