"""A round's queue in plain Python: who gets which question, single or in chains, and when."""

from collections import Counter
from dataclasses import dataclass, field

from annealing.transitivity import Closure
from domain.answers import Kind
from domain.pairs import Pair
from domain.rounds import QueueStatus

LEASE_S, REOPENED_S = 60, 300


@dataclass
class Asked:
    """A question as the model sees it: what stands of its answers, and until when it is leased."""

    chain: object
    place: tuple[int, int]
    wanted: int = 1
    withdrawn: bool = False
    unless_implied: bool = False
    said: dict[str, int] = field(default_factory=dict)  # member -> number of the answer
    leases: dict[str, float] = field(default_factory=dict)

    @property
    def open(self):
        return not self.withdrawn and not self.said

    def leased_to(self, now):
        return {name for name, until in self.leases.items() if until > now}

    def holders(self, now):
        return self.leased_to(now) if self.open else set()


@dataclass
class Given:
    """An answer; `asked` says that it came with the question's id."""

    name: str
    kind: Kind
    pair: Pair
    asked: bool
    taken_back: bool = False


class Model:
    def __init__(self):
        self.questions: dict[Pair, Asked] = {}
        self.log: list[Given] = []
        self.now = 0
        self.ranks = 0

    # --- what the answers say ---

    def standing(self, asked):
        return [
            (number, given)
            for number, given in enumerate(self.log)
            if given.pair == asked and not given.taken_back and given.kind is not Kind.SKIP
        ]

    def label(self, given):
        """The majority of members' latest words; 0 for a tie, None where nobody said either."""
        words = {each.name: each.kind for each in given}
        said = Counter(words.values())
        if not said[Kind.SIMILAR] + said[Kind.DISSIMILAR]:
            return None
        balance = said[Kind.SIMILAR] - said[Kind.DISSIMILAR]
        return (balance > 0) - (balance < 0)

    def closure(self):
        """Labels in the order of the answers from which on they were what they are."""
        lines = []
        for asked in {given.pair for given in self.log}:
            standing = self.standing(asked)
            states = [self.label([g for _, g in standing[: n + 1]]) for n in range(len(standing))]
            if states and states[-1]:
                first = len(states) - 1
                while first and states[first - 1] == states[-1]:
                    first -= 1
                lines.append((standing[first][0], asked, states[-1] == 1))
        closure = Closure()
        for _, asked, similar in sorted(lines):
            closure.add(asked, similar)
        return closure

    # --- whose turn it is ---

    def ends(self, asked, closure):
        """Whether this question ends its chain (True), is passed (False), or waits (None)."""
        question = self.questions[asked]
        label = self.label([given for _, given in self.standing(asked)])
        own = None if label in (0, None) else label == 1
        known = closure.relation(*asked) if question.unless_implied else own
        if question.open:
            return known
        skipped = any(self.log[number].kind is Kind.SKIP for number in question.said.values())
        return bool(known) or label in (0, 1) or (skipped and label is None)

    def chains(self):
        """Of every chain that goes on: all its questions, and those that wait, in order."""
        closure, found = self.closure(), []
        in_queue = {q: each for q, each in self.questions.items() if not each.withdrawn}
        for number in {each.chain for each in in_queue.values()} - {None}:
            links = [q for q, each in in_queue.items() if each.chain == number]
            links.sort(key=lambda q: self.questions[q].place)
            verdicts = {q: self.ends(q, closure) for q in links}
            waiting = [q for q in links if verdicts[q] is None]
            if waiting and True not in verdicts.values():
                found.append((links, waiting))
        return found

    def may_have(self, name, asked):
        """Whether the question wants a member, whatever its chain."""
        question = self.questions[asked]
        others = question.leased_to(self.now) - {name}
        if question.withdrawn or name in question.said:
            return False
        return len(question.said) + len(others) < question.wanted

    def spoke(self, name, asked):
        """Whether a member has said anything of a pair that stands, a skip too."""
        mine = [given for given in self.log if (given.name, given.pair) == (name, asked)]
        return any(not given.taken_back for given in mine)

    def claim(self, name, count, held):
        for asked in held:
            if self.may_have(name, asked):
                self.questions[asked].leases[name] = self.now + LEASE_S
        free = [q for q, each in self.questions.items() if each.chain is None and each.open]
        for links, waiting in self.chains():
            screens = {
                q
                for q in links
                for holder in self.questions[q].holders(self.now)
                if holder != name or q in held
            }
            if screens <= {waiting[0]}:
                free.append(waiting[0])
        free += [q for q, each in self.questions.items() if each.said and not self.spoke(name, q)]
        mine = [q for q in free if q not in held and self.may_have(name, q)]
        mine = sorted(mine, key=lambda q: self.questions[q].place)[:count]
        for asked in mine:
            self.questions[asked].leases[name] = self.now + LEASE_S
        return mine

    # --- what people do ---

    def answer(self, name, kind, asked, *, with_id):
        question = self.questions.get(asked)
        before = question and question.said.get(name)
        if with_id and before is not None:
            given = self.log[before]
            if given.kind is kind and given.asked:
                return  # said already
        self.log.append(Given(name, kind, asked, with_id))
        if question and (with_id or question.open):
            question.said[name] = len(self.log) - 1
            question.leases.pop(name, None)
            question.withdrawn = False

    def take_back(self, number):
        given = self.log[number]
        given.taken_back = True
        question = self.questions.get(given.pair)
        if question is None or question.said.get(given.name) != number:
            return
        earlier = [
            n
            for n, each in enumerate(self.log)
            if (each.name, each.pair, each.asked) == (given.name, given.pair, True)
            and not each.taken_back
        ]
        if earlier:
            question.said[given.name] = earlier[-1]
            return
        del question.said[given.name]
        if self.may_have(given.name, given.pair):
            question.leases[given.name] = self.now + REOPENED_S

    def put(self, chains, singles):
        """Questions handed over, at the end of the queue, each with whether implied is enough."""
        for links in chains:
            number, rank = object(), self.ranks
            for position, (asked, unless_implied) in enumerate(links):
                self.ranks += 1
                self.place(asked, number, (rank, position), unless_implied=unless_implied)
        for asked, unless_implied in singles:
            self.ranks += 1
            if asked not in self.questions or self.questions[asked].withdrawn:
                number = object() if unless_implied else None
                self.place(asked, number, (self.ranks - 1, 0), unless_implied=unless_implied)

    def place(self, asked, chain, place, *, unless_implied):
        """A new question, a withdrawn one put again, or one that becomes part of a chain."""
        question = self.questions.setdefault(asked, Asked(chain, place))
        if question.withdrawn:
            question.wanted = 1
        question.chain, question.place, question.withdrawn = chain, place, False
        question.unless_implied = unless_implied

    def withdraw(self):
        for question in self.questions.values():
            if question.open and not question.said and not question.holders(self.now):
                question.withdrawn = True

    def status(self, target):
        held = [q for q in self.questions if self.questions[q].holders(self.now)]
        single = [q for q, each in self.questions.items() if each.chain is None and each.open]
        chains = self.chains()
        at_rest = [links for links, _ in chains if not set(links) & set(held)]
        answered = sum(len(each.said) for each in self.questions.values())
        to_come = {*single, *held, *(q for _, waiting in chains for q in waiting)}
        return QueueStatus(
            open=len(set(single) - set(held)) + len(at_rest),
            leased=len(held),
            answered=answered,
            target=min(target, answered + len(to_come)),
        )
