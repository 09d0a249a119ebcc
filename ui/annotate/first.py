"""What the annotate page knows of its reader, and a script that asks for their first questions.

The script stands in the page's HTML: the questions come, and the first pictures, while what draws
them is still being loaded. It asks as the component would, which takes over what came.
"""

import json
from pathlib import Path
from typing import Any

from domain.members import Member, Role
from ui import session

ASKING = ("api.js", "outbox.js", "tabs.js", "sources.js")
_HERE = Path(__file__).parent


def source(*names: str) -> str:
    """Files one after another, which make one script."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def reader(member: Member) -> dict[str, Any]:
    """Who looks at the page, and a proof of it."""
    signer = session.signer()
    return {
        "token": signer.token(member.member_id),
        "member": {"id": member.member_id, "leads": member.role.includes(Role.LEAD)},
        "scope": session.scope(member),
        "pictures": {"path": "/api/images", "version": signer.fingerprint()},
    }


def first_questions(member: Member) -> str:
    """A script that asks for a member's first questions."""
    given = json.dumps(reader(member)).replace("<", "\\u003c")  # nothing in it ends the script
    ask = f"window.annealFirst = new FirstQuestions({given});"
    return f'<script>(() => {{ "use strict";\n{source(*ASKING, "first.js")}\n{ask} }})()</script>'
