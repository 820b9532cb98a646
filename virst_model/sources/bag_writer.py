"""A new bag of ROS 2: rosbag2 of sqlite3 or MCAP, written without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import logging
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from virst_model.errors import FileError, visible
from virst_model.sources.bag import Bag, Record, check_path
from virst_model.sources.bag_messages import types

if TYPE_CHECKING:
    from rosbags.interfaces import Connection, Qos

# Of the metadata: the newest that Jazzy reads; later ones do, too.
_VERSION = 8
# What rosbag2 writes for "no limit".
_FOREVER_S, _FOREVER_NS = 9223372036, 854775807

_log = logging.getLogger(__name__)


class BagWriter:
    """Writes messages one after the other; `close` finishes the bag, and so does any end of a
    `with`, so that what came before an error can be read.
    """

    def __init__(self, path: Path, as_mcap: bool) -> None:
        """Makes the folder `path`. Raises FileError where it is there already, or cannot be."""
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

        check_path(path, as_mcap)
        if path.exists():
            raise FileError(path, "is there already; a bag is written into a folder of its own")
        self.path = path
        self._connections: dict[tuple[str, str], Connection] = {}
        with self._named():
            kind = StoragePlugin.MCAP if as_mcap else StoragePlugin.SQLITE3
            self._writer = Writer(path, version=_VERSION, storage_plugin=kind)
            if as_mcap:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        with suppress(FileError):  # the first error says more
            self.close()

    def offer(self, topic: str, kind: str, latched: bool = False) -> None:
        """A topic of ours. Reliable, depth 1; `latched`: who comes later gets the last message."""
        with self._named():
            self._connections[topic, kind] = self._writer.add_connection(
                topic, kind, typestore=types(), offered_qos_profiles=[_quality(latched)]
            )

    def adopt(self, bag: Bag) -> None:
        """The topics of another bag, for `copy`; none of them may be ours.

        A message is passed on as bytes. That needs its type's definition: where neither the bag
        nor rosbags has it, nobody could read it, and a warning names it.
        """
        for connection in bag.connections:
            key = connection.topic, connection.msgtype
            if key in self._connections:
                continue
            try:
                definition, digest = _definition(connection)
            except Exception as error:  # of rosbags' parsers, whatever they meet
                reason = visible(" ".join(str(error).split()) or type(error).__name__)
                topic, kind = key
                _log.warning(
                    "%s: %s is left out: type %s cannot be read (%s)",
                    visible(bag.path),
                    *(visible(topic), visible(kind), reason),
                )
                continue
            with self._named():
                self._connections[key] = self._writer.add_connection(
                    *key,
                    msgdef=definition,
                    rihs01=digest,
                    offered_qos_profiles=connection.ext.offered_qos_profiles,
                )

    def write(self, topic: str, recorded_ns: int, message: Any) -> None:
        """A message of `bag_messages`, on a topic of `offer`. Raises FileError."""
        kind = message.__msgtype__
        with self._named():
            data = types().serialize_cdr(message, kind)
            self._writer.write(self._connections[topic, kind], recorded_ns, data)

    def copy(self, record: Record) -> None:
        """A message of a topic that was adopted; of one that was left out, nothing.

        Raises FileError.
        """
        connection = self._connections.get((record.topic, record.kind))
        if connection is not None:
            with self._named():
                self._writer.write(connection, record.recorded_ns, record.data)

    def close(self) -> None:
        """Finishes the bag. Raises FileError where it cannot be written to its end."""
        with self._named():
            self._writer.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What the writing of a bag raises, by storage: of the system, of sqlite, of rosbags."""
        try:
            yield
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise FileError(self.path, f"cannot be written ({visible(reason)})") from error


def _quality(latched: bool) -> Qos:
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    forever = QosTime(_FOREVER_S, _FOREVER_NS)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


def _definition(connection: Connection) -> tuple[str, str]:
    """Definition and hash of a topic's type: the bag's own, else those that Humble has.

    A bag without definitions is Humble's or older, and types have changed since: a Range has.

    Raises what rosbags' parsers do, and LookupError where there is none.
    """
    from rosbags.interfaces import MessageDefinitionFormat
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    text, name = connection.msgdef.data, connection.msgtype
    if not text:
        store = get_typestore(Stores.ROS2_HUMBLE)
        if name not in store.fielddefs:
            raise LookupError("its definition is not in the bag")
        return store.generate_msgdef(name, ros_version=2)[0], store.hash_rihs01(name)
    store = get_typestore(Stores.EMPTY)
    if connection.msgdef.format == MessageDefinitionFormat.IDL:
        store.register(get_types_from_idl(text))
    else:
        store.register(get_types_from_msg(text, name))
    digest = store.hash_rihs01(name)  # raises where a part of the definition is missing
    return text, connection.digest or digest
