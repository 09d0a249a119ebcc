"""Random work on one round's queue, single questions and chains, against a plain-Python model."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.answers import Kind
from domain.clock import later
from domain.members import Role
from domain.pairs import pair
from domain.rounds import Proposal
from labeling_store import answers, members, queue
from labeling_store.db import Store
from tests.labeling_store.building import NOW, ask_in_chains, ask_instead, catalogue, said, undo
from tests.labeling_store.queue_model import LEASE_S, Model

GROUPS, IMAGES = [1, 2, 3], [4, 5, 6, 7]
NO, YES = Kind.DISSIMILAR, Kind.SIMILAR


def handed_over():
    """Chains of images against groups, and single questions; each with whether implied is enough.

    A chain is drawn as an image, groups, and a flag for each of those that it is compared with.
    """
    flags = st.sampled_from([[True] * 3, [True] * 2, [False] * 3, [False], [True, False, True]])
    chain = st.tuples(st.sampled_from(IMAGES), st.permutations(GROUPS), flags)
    chains = st.lists(chain, max_size=4, unique_by=lambda each: each[0])
    asked = st.tuples(st.sampled_from(GROUPS), st.sampled_from(IMAGES)).map(lambda q: pair(*q))
    singles = st.lists(st.tuples(asked, st.booleans()), max_size=2, unique_by=lambda each: each[0])
    return st.tuples(chains.map(lambda drawn: [links(*each) for each in drawn]), singles)


def links(image, groups, flags):
    return [(pair(image, group), flag) for group, flag in zip(groups, flags, strict=False)]


def proposals(chains, singles):
    chained = [
        Proposal(asked, 0.0, "", chain=number, chain_position=position, unless_implied=flag)
        for number, chain in enumerate(chains)
        for position, (asked, flag) in enumerate(chain)
    ]
    return [*chained, *(Proposal(asked, 0.0, "", unless_implied=flag) for asked, flag in singles)]


class QueueAgainstModel(RuleBasedStateMachine):
    @initialize(new=handed_over(), wanted=st.integers(1, 9), two=st.sampled_from([*IMAGES, None]))
    def start(self, new, wanted, two):
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "labels.db"
        self.stores = [Store.open(path, create=True), Store.open(path)]
        catalogue(self.stores[0], train=len(GROUPS + IMAGES))
        with self.stores[0].transaction() as db:
            self.members = {
                name: members.ensure_member(db, name, Role.ANNOTATOR) for name in ("ann", "bob")
            }
        self.model, self.wanted = Model(), wanted
        self.keys, self.sent = {}, 0  # keys of the answers by their number in the model's log
        self.screens = {name: [] for name in self.members}
        self.round_id = ask_in_chains(self.stores[0], proposals(*new), target=wanted)
        self.model.put(*new)
        self.let_two_answer(two)

    def let_two_answer(self, image):
        """Whatever is asked about one image is asked of two people."""
        with self.stores[0].transaction() as db:
            db.execute("UPDATE proposal SET overlap = 2 WHERE b = ?", (image,))
        for asked, question in self.model.questions.items():
            question.wanted = 2 if asked.b == image else 1

    def teardown(self):
        for store in getattr(self, "stores", []):
            store.close()
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @property
    def now(self):
        return later(NOW, self.model.now)

    def question_id(self, asked):
        """The id of the question about a pair, as the browser got it with the question."""
        row = "SELECT proposal_id FROM proposal WHERE a = ? AND b = ?"
        return self.stores[0].reader().execute(row, asked).fetchone()[0]

    def send(self, at, name, new):
        (receipt,) = answers.record_answers(
            self.stores[at], self.members[name], [new], now=self.now
        )
        assert receipt.status in ("stored", "repeated")
        return receipt.status

    who = st.sampled_from(["ann", "bob"])
    at = st.integers(0, 1)
    what = st.sampled_from([NO] * 4 + [YES] * 2 + [Kind.UNSURE, Kind.SKIP])

    @rule(at=at, name=who, count=st.integers(1, 3), reload=st.sampled_from([False, False, True]))
    def claim(self, at, name, count, reload):
        held = [] if reload else self.screens[name]
        got = queue.claim(
            self.stores[at],
            self.members[name].member_id,
            self.round_id,
            count=count,
            now=self.now,
            lease_s=LEASE_S,
            held=[self.question_id(asked) for asked in held],
        )
        assert [each.pair for each in got] == self.model.claim(name, count, held)
        self.screens[name] = [*held, *(each.pair for each in got)]

    @rule(at=at, name=who, kind=what, data=st.data())
    def answer_what_is_on_the_screen(self, at, name, kind, data):
        """Also after the lease ran out, the question was answered by others, or withdrawn."""
        if not self.screens[name]:
            return
        asked = data.draw(st.sampled_from(self.screens[name]))
        self.screens[name].remove(asked)
        self.answer(at, name, kind, asked, with_id=True)

    @rule(at=at, name=who, kind=what, data=st.data())
    def change_ones_mind(self, at, name, kind, data):
        own = [g.pair for g in self.model.log if g.name == name and g.asked and not g.taken_back]
        if own:
            self.answer(at, name, kind, data.draw(st.sampled_from(own)), with_id=True)

    @rule(at=at, name=who, kind=what, a=st.integers(1, 7), b=st.integers(1, 7))
    def answer_elsewhere(self, at, name, kind, a, b):
        if a != b:
            self.answer(at, name, kind, pair(a, b), with_id=False)

    def answer(self, at, name, kind, asked, *, with_id):
        number = len(self.model.log)
        self.model.answer(name, kind, asked, with_id=with_id)
        self.sent += 1
        key = f"key {self.sent}"
        proposal_id = self.question_id(asked) if with_id else None
        status = self.send(at, name, said(key, *asked, kind, proposal_id=proposal_id))
        assert (status == "stored") == (len(self.model.log) > number)
        if status == "stored":
            self.keys[number] = key

    @rule(at=at, data=st.data())
    def undo(self, at, data):
        """By the one who answered, at any depth."""
        standing = [n for n, given in enumerate(self.model.log) if not given.taken_back]
        if standing:
            number = data.draw(st.sampled_from(standing[-5:]))
            given = self.model.log[number]
            self.model.take_back(number)
            self.send(at, given.name, undo(f"undo {number}", self.keys[number], *given.pair))

    @rule(by_s=st.sampled_from([20, 61, 301]))
    def wait(self, by_s):
        self.model.now += by_s

    @rule()
    def release(self):
        with self.stores[0].transaction() as db:
            queue.release(db)
        for question in self.model.questions.values():
            question.leases.clear()

    @rule(at=at, new=handed_over())
    def ask_instead(self, at, new):
        ask_instead(self.stores[at], self.round_id, proposals(*new), now=self.now)
        self.model.withdraw()
        self.model.put(*new)

    @invariant()
    def both_stores_count_what_the_model_counts(self):
        for store in getattr(self, "stores", []):
            assert queue.queue_status(store, self.round_id, self.now) == self.model.status(
                self.wanted
            )


QueueAgainstModel.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None
)
TestQueueAgainstModel = QueueAgainstModel.TestCase
