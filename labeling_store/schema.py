"""What later versions added to the tables of both databases; only migrations use these texts.

The first version stands in `labeling_store.first_schema`; its rules hold here too.
"""

# The key of the job that left a run or a round's questions behind; NULL where no job did.
LABELS_0002 = (
    "ALTER TABLE run ADD COLUMN made_by TEXT",
    "ALTER TABLE round ADD COLUMN made_by TEXT",
    "CREATE UNIQUE INDEX run_made_by ON run (made_by)",
    "CREATE UNIQUE INDEX round_made_by ON round (made_by)",
)

# Answers after which a round can be trained on; NULL: all its questions.
LABELS_0003 = ("ALTER TABLE round ADD COLUMN target INTEGER CHECK (target >= 0)",)

# What was out of the ordinary in choosing a round's questions, one line each.
LABELS_0004 = ("ALTER TABLE round ADD COLUMN notes TEXT NOT NULL DEFAULT ''",)

# Whether a question is passed over once other answers imply its answer; only questions of chains
# are, so that a single one is a chain of one.
LABELS_0005 = (
    """
    ALTER TABLE proposal ADD COLUMN unless_implied INTEGER NOT NULL DEFAULT 0
        CHECK (unless_implied IN (0, 1) AND (unless_implied = 0 OR chain IS NOT NULL))
    """,
    """
    CREATE INDEX proposal_chain ON proposal (round_id, chain, chain_position)
        WHERE chain IS NOT NULL
    """,
)

# Members who left, and tokens of scripts. Of a token only a hash is kept: 32 random bytes need no
# salt and cannot be guessed from it.
LABELS_0006 = (
    "ALTER TABLE member ADD COLUMN left_at TEXT",
    """
    CREATE TABLE token (
        token_id INTEGER PRIMARY KEY AUTOINCREMENT,
        member_id INTEGER NOT NULL REFERENCES member,
        name TEXT NOT NULL CHECK (name <> ''),
        sha256 TEXT NOT NULL UNIQUE CHECK (length(sha256) = 64),
        role TEXT NOT NULL CHECK (role IN ('annotator', 'lead', 'owner')),
        created_at TEXT NOT NULL,
        expires_at TEXT NOT NULL CHECK (expires_at > created_at),
        last_used_at TEXT,
        revoked_at TEXT
    ) STRICT
    """,
    "CREATE INDEX token_member ON token (member_id)",
)

# `asked_of`: the only member who is asked, about a pair that they answered before; such questions
# measure their error, and stand alone. The tables below keep what the worker found out about
# people's answers, as of `last_event_id`; they are written anew each time.
LABELS_0007 = (
    """
    ALTER TABLE proposal ADD COLUMN asked_of INTEGER REFERENCES member
        CHECK (asked_of IS NULL OR chain IS NULL)
    """,
    "CREATE INDEX proposal_opinion ON proposal (round_id, rank) WHERE overlap > 1",
    "CREATE INDEX proposal_asked_of ON proposal (asked_of) WHERE asked_of IS NOT NULL",
    """
    CREATE TABLE people_report (
        report_id INTEGER PRIMARY KEY CHECK (report_id = 1),
        computed_at TEXT NOT NULL,
        last_event_id INTEGER NOT NULL,
        pairs INTEGER NOT NULL CHECK (pairs >= 0),
        agreed INTEGER NOT NULL CHECK (agreed BETWEEN 0 AND pairs),
        kappa REAL CHECK (kappa BETWEEN -1 AND 1)
    ) STRICT
    """,
    """
    CREATE TABLE member_report (
        member_id INTEGER PRIMARY KEY REFERENCES member,
        answers INTEGER NOT NULL CHECK (answers >= 0),
        days INTEGER NOT NULL CHECK (days >= 0),
        unsure INTEGER NOT NULL CHECK (unsure >= 0),
        skipped INTEGER NOT NULL CHECK (skipped >= 0),
        taken_back INTEGER NOT NULL CHECK (taken_back >= 0),
        median_ms INTEGER CHECK (median_ms >= 0),
        last_answered_at TEXT,
        repeated INTEGER NOT NULL CHECK (repeated >= 0),
        changed INTEGER NOT NULL CHECK (changed BETWEEN 0 AND repeated)
    ) STRICT
    """,
    """
    CREATE TABLE agreement (
        first_id INTEGER NOT NULL REFERENCES member,
        second_id INTEGER NOT NULL REFERENCES member,
        pairs INTEGER NOT NULL CHECK (pairs > 0),
        agreed INTEGER NOT NULL CHECK (agreed BETWEEN 0 AND pairs),
        kappa REAL CHECK (kappa BETWEEN -1 AND 1),
        PRIMARY KEY (first_id, second_id),
        CHECK (first_id < second_id)
    ) STRICT, WITHOUT ROWID
    """,
)

# Counted and looked up at every answer, however long the round and however many leases ran out.
LABELS_0010 = (
    """
    CREATE INDEX proposal_single ON proposal (round_id)
        WHERE state = 'open' AND chain IS NULL AND asked_of IS NULL
    """,
    "CREATE INDEX lease_expires ON lease (expires_at)",
)

# What people point out while they answer, how it ended, and what leads tell them about answering:
# versions of it, of which the newest counts.
LABELS_0011 = (
    """
    CREATE TABLE flag (
        flag_id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        member_id INTEGER NOT NULL REFERENCES member,
        a INTEGER NOT NULL REFERENCES image,
        b INTEGER REFERENCES image,
        proposal_id INTEGER REFERENCES proposal,
        note TEXT NOT NULL,
        flagged_at TEXT NOT NULL,
        stored_at TEXT NOT NULL,
        CHECK (b IS NULL OR a < b)
    ) STRICT
    """,
    """
    CREATE TABLE flag_end (
        flag_id INTEGER PRIMARY KEY REFERENCES flag,
        key TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL CHECK (kind IN ('taken_back', 'dealt_with')),
        member_id INTEGER NOT NULL REFERENCES member,
        ended_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE guide (
        guide_id INTEGER PRIMARY KEY AUTOINCREMENT,
        text TEXT NOT NULL,
        member_id INTEGER NOT NULL REFERENCES member,
        written_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE guide_example (
        guide_id INTEGER NOT NULL REFERENCES guide,
        place INTEGER NOT NULL CHECK (place >= 0),
        a INTEGER NOT NULL REFERENCES image,
        b INTEGER NOT NULL REFERENCES image,
        similar INTEGER NOT NULL CHECK (similar IN (0, 1)),
        remark TEXT NOT NULL,
        PRIMARY KEY (guide_id, place),
        CHECK (a < b)
    ) STRICT, WITHOUT ROWID
    """,
)

# By whom a member is known who signs in: an address that the first person to prove it takes, then
# only that person's subject. Empty texts instead of NULL, so that UNIQUE holds for what is there.
LABELS_0012 = (
    """
    CREATE TABLE sign_in (
        member_id INTEGER PRIMARY KEY REFERENCES member,
        email TEXT NOT NULL,
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        since TEXT NOT NULL,
        CHECK (email <> '' OR subject <> ''),
        CHECK ((issuer = '') = (subject = ''))
    ) STRICT
    """,
    "CREATE UNIQUE INDEX sign_in_email ON sign_in (email) WHERE email <> ''",
    "CREATE UNIQUE INDEX sign_in_subject ON sign_in (issuer, subject) WHERE subject <> ''",
)

JOBS_0002 = (
    "ALTER TABLE job ADD COLUMN key TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE job ADD COLUMN queued_by TEXT NOT NULL DEFAULT ''",
    "UPDATE job SET key = lower(hex(randomblob(16)))",
)
