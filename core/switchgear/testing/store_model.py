"""A store so plain that one reads that it is right; `StoreSuite` compares the real ones with it."""

from collections.abc import Sequence

from switchgear.contracts.store import Change, Document, Write
from switchgear.errors import StoreConflict

Name = tuple[str, str]


class ModelStore:
    """Every version ever written, and the writes that are current. All else is searched for, each time, the long way."""

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.history: list[Document] = []
        self.current: dict[Name, Write] = {}

    def read(self, kind: str, id: str) -> Document | None:
        """Return the newest version unless it is a deleted one."""
        versions = self.versions(kind, id)
        return None if not versions or versions[0].deleted else versions[0]

    def versions(self, kind: str, id: str) -> list[Document]:
        """Return versions newest first."""
        return [document for document in reversed(self.history) if (document.kind, document.id) == (kind, id)]

    def lookup(self, index: str, value: str) -> Document | None:
        """Search every current document for the key."""
        for (kind, id), write in self.current.items():
            if (index, value) in write.keys:
                return self.read(kind, id)
        return None

    def search(self, index: str, prefix: str) -> list[Document]:
        """Search every key of every current document."""
        found = sorted((value, name) for name, write in self.current.items() for of, value in write.keys if of == index)
        return [it for value, name in found if value.startswith(prefix) and (it := self.read(*name)) is not None]

    def page(self, kind: str) -> list[Document]:
        """Return every current document of a kind, in id order."""
        found = [self.read(*name) for name in sorted(self.current) if name[0] == kind]
        return [document for document in found if document is not None]

    def references_to(self, kind: str, id: str) -> list[Name]:
        """Search every current document for the reference."""
        return sorted(name for name, write in self.current.items() if (kind, id) in write.references)

    def changes(self) -> list[Change]:
        """Return the whole feed."""
        return [Change.of(one) for one in self.history]

    def write(self, batch: Sequence[Write], at_us: int) -> list[Document]:
        """Work out the state after the batch, then look for what is wrong with it. Raises `StoreConflict`."""
        for write in batch:
            self._check_version(write)
        after = {**self.current, **{(write.kind, write.id): write for write in batch}}
        after = {name: write for name, write in after.items() if write.spec is not None}
        for position, write in enumerate(batch):
            if write.spec is not None:
                # Two of one batch want the key: the later one is refused.
                later = {(one.kind, one.id) for one in batch[position:]}
                rivals = [(name, other) for name, other in after.items() if name not in later]
                holders = [name for key in write.keys for name, other in rivals if key in other.keys]
                _refuse("key_taken", write, holders)
        for write in batch:
            if write.spec is not None:
                _refuse("missing_reference", write, [to for to in write.references if to not in after])
        for write in batch:
            if write.spec is None:
                users = sorted(name for name, other in after.items() if (write.kind, write.id) in other.references)
                _refuse("in_use", write, users)
        if not batch:
            return []
        self.revision += 1
        documents = [self._next(write, at_us) for write in batch]
        self.history += documents
        self.current = after
        return documents

    def _check_version(self, write: Write) -> None:
        current = self.read(write.kind, write.id)
        reason = None
        if current is None:
            reason = "missing" if write.spec is None or write.expect else None
        elif write.expect == 0:
            reason = "exists"
        elif write.expect is not None and write.expect != current.version:
            reason = "stale"
        if reason is not None:
            raise StoreConflict(reason, write.kind, write.id)

    def _next(self, write: Write, at_us: int) -> Document:
        current = self.read(write.kind, write.id)
        return Document(
            kind=write.kind,
            id=write.id,
            version=len(self.versions(write.kind, write.id)) + 1,
            revision=self.revision,
            spec=write.spec or b"",
            owner=write.owner,
            created_us=at_us if current is None else current.created_us,
            updated_us=at_us,
            actor=write.actor,
            deleted=write.spec is None,
        )


def _refuse(reason: str, write: Write, others: Sequence[Name]) -> None:
    if others:
        raise StoreConflict(
            reason, write.kind, write.id, tuple(dict.fromkeys(f"{kind}/{id}" for kind, id in others))[:20]
        )
