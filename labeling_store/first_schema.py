"""The tables of both databases in their first version; only migrations use these texts.

Times are UTC ISO 8601 text, pairs have a < b, and what must hold is CHECKed here, not only in code.
"""

LABELS_0001 = (
    """
    CREATE TABLE image (
        image_id INTEGER PRIMARY KEY AUTOINCREMENT,
        path TEXT NOT NULL UNIQUE,
        sha256 TEXT NOT NULL,
        pixel_sha256 TEXT NOT NULL,
        perceptual_hash TEXT NOT NULL,
        width_px INTEGER NOT NULL CHECK (width_px > 0),
        height_px INTEGER NOT NULL CHECK (height_px > 0),
        class_name TEXT,
        duplicate_group INTEGER NOT NULL,
        split_group INTEGER NOT NULL,
        part TEXT NOT NULL CHECK (part IN ('train', 'validation', 'test'))
    ) STRICT
    """,
    """
    CREATE TABLE quarantine (
        path TEXT PRIMARY KEY,
        reason TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE member (
        member_id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE CHECK (name <> ''),
        role TEXT NOT NULL CHECK (role IN ('annotator', 'lead', 'owner'))
    ) STRICT
    """,
    """
    CREATE TABLE round (
        round_id INTEGER PRIMARY KEY AUTOINCREMENT,
        number INTEGER NOT NULL UNIQUE,
        strategy TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('collecting', 'training', 'done')),
        model TEXT,
        created_at TEXT NOT NULL
    ) STRICT
    """,
    # A chain's next question opens when the one before it is answered "dissimilar"; single
    # questions have no chain. `overlap` is the number of members who are asked.
    """
    CREATE TABLE proposal (
        proposal_id INTEGER PRIMARY KEY AUTOINCREMENT,
        round_id INTEGER NOT NULL REFERENCES round,
        a INTEGER NOT NULL REFERENCES image,
        b INTEGER NOT NULL REFERENCES image,
        rank INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'withdrawn')),
        score REAL NOT NULL,
        reason TEXT NOT NULL,
        similarity REAL,
        threshold REAL,
        cluster INTEGER,
        is_check INTEGER NOT NULL CHECK (is_check IN (0, 1)),
        chain INTEGER,
        chain_position INTEGER NOT NULL DEFAULT 0,
        overlap INTEGER NOT NULL DEFAULT 1 CHECK (overlap > 0),
        CHECK (a < b),
        UNIQUE (round_id, a, b)
    ) STRICT
    """,
    "CREATE INDEX proposal_open ON proposal (round_id, rank) WHERE state = 'open'",
    "CREATE INDEX proposal_pair ON proposal (a, b)",
    "CREATE INDEX proposal_state ON proposal (round_id, state)",
    """
    CREATE TABLE lease (
        proposal_id INTEGER NOT NULL REFERENCES proposal,
        member_id INTEGER NOT NULL REFERENCES member,
        leased_at TEXT NOT NULL,
        expires_at TEXT NOT NULL,
        PRIMARY KEY (proposal_id, member_id)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX lease_member ON lease (member_id)",
    """
    CREATE TABLE event (
        event_id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL
            CHECK (kind IN ('similar', 'dissimilar', 'unsure', 'skip', 'void', 'resolution')),
        source TEXT NOT NULL CHECK (source IN ('click', 'import', 'seed')),
        a INTEGER NOT NULL REFERENCES image,
        b INTEGER NOT NULL REFERENCES image,
        similar INTEGER CHECK (similar IN (0, 1)),
        member_id INTEGER NOT NULL REFERENCES member,
        answered_at TEXT NOT NULL,
        stored_at TEXT NOT NULL,
        shown_at TEXT,
        answer_ms INTEGER CHECK (answer_ms >= 0),
        proposal_id INTEGER REFERENCES proposal,
        round_number INTEGER,
        model TEXT,
        reason TEXT,
        uncertainty REAL,
        refers_to INTEGER REFERENCES event,
        CHECK (a < b),
        CHECK (kind <> 'void' OR refers_to IS NOT NULL),
        CHECK (kind IN ('void', 'resolution') OR refers_to IS NULL),
        CHECK (kind = 'resolution' OR similar IS
            CASE kind WHEN 'similar' THEN 1 WHEN 'dissimilar' THEN 0 END)
    ) STRICT
    """,
    "CREATE INDEX event_pair ON event (a, b)",
    "CREATE INDEX event_member ON event (member_id)",
    "CREATE INDEX event_kind ON event (kind)",
    "CREATE INDEX event_proposal ON event (proposal_id) WHERE proposal_id IS NOT NULL",
    "CREATE UNIQUE INDEX event_void ON event (refers_to) WHERE kind = 'void'",
    """
    CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'the answer log is append-only'); END
    """,
    """
    CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
    BEGIN SELECT RAISE(ABORT, 'the answer log is append-only'); END
    """,
    # The standing event with which a member closed a question.
    """
    CREATE TABLE response (
        proposal_id INTEGER NOT NULL REFERENCES proposal,
        member_id INTEGER NOT NULL REFERENCES member,
        event_id INTEGER NOT NULL REFERENCES event,
        PRIMARY KEY (proposal_id, member_id)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX response_event ON response (event_id)",
    """
    CREATE TABLE conflict (
        conflict_id INTEGER PRIMARY KEY AUTOINCREMENT,
        a INTEGER NOT NULL REFERENCES image,
        b INTEGER NOT NULL REFERENCES image,
        event_id INTEGER NOT NULL REFERENCES event,
        evidence TEXT NOT NULL,
        opened_at TEXT NOT NULL,
        closed_at TEXT,
        CHECK (a < b)
    ) STRICT
    """,
    "CREATE UNIQUE INDEX conflict_open ON conflict (a, b) WHERE closed_at IS NULL",
    """
    CREATE TABLE run (
        name TEXT PRIMARY KEY,
        round_number INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        backbone TEXT NOT NULL,
        depth TEXT NOT NULL,
        bits INTEGER NOT NULL,
        answers INTEGER NOT NULL,
        known_pairs INTEGER NOT NULL,
        active INTEGER NOT NULL CHECK (active IN (0, 1))
    ) STRICT
    """,
    "CREATE UNIQUE INDEX run_active ON run (active) WHERE active = 1",
    """
    CREATE TABLE metric (
        run TEXT NOT NULL REFERENCES run,
        name TEXT NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (run, name)
    ) STRICT, WITHOUT ROWID
    """,
)

JOBS_0001 = (
    """
    CREATE TABLE job (
        job_id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        params TEXT NOT NULL CHECK (json_valid(params)),
        state TEXT NOT NULL DEFAULT 'queued'
            CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
        progress REAL NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
        message TEXT NOT NULL DEFAULT '',
        attempt INTEGER NOT NULL DEFAULT 0,
        cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
        worker TEXT,
        created_at TEXT NOT NULL,
        started_at TEXT,
        ended_at TEXT,
        heartbeat_at TEXT,
        error TEXT
    ) STRICT
    """,
    "CREATE INDEX job_state ON job (state, job_id)",
    """
    CREATE TABLE job_log (
        line_id INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id INTEGER NOT NULL REFERENCES job,
        logged_at TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX job_log_job ON job_log (job_id, line_id)",
)
