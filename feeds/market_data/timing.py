"""Every duration and bound of the connections, in one place, so that a test can live a day in a second."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, unless the name says otherwise."""

    backoff_seconds: float = 0.5
    backoff_seconds_max: float = 30.0
    settled_seconds: float = 10.0  # a connection that lived this long has been a success
    breaker_failures_max: int = 5  # in a row, of all connections to one endpoint
    breaker_seconds: float = 30.0
    breaker_look_seconds: float = 1.0
    sync_seconds_max: float = 30.0  # a new connection that is not in sync by then is given up
    overlap_seconds: float = 1.0  # both connections live, so that nothing falls between them
    rotation_share: float = 0.95  # of the venue's lifetime of a connection, less up to a tenth by chance
    rotation_retry_seconds: float = 60.0
    resync_seconds: float = 10.0  # a snapshot that has not come by then is asked for again
    backfill_pause_seconds: float = 0.2
    backfill_attempts_max: int = 5
    fallback_seconds: float = 2.0
    fallback_requests_per_second: float = 5.0
    garbage_max: int = 10  # unreadable frames in a row; then the connection is given up


DEFAULT = Timing()
