"""Check of an HDF5 file from a stranger: it must hold its own data, in the amount that its size allows.

HDF5 can point into other files of the machine (external links, external storage, virtual datasets), and can declare datasets of
any size that take no space in the file.
"""

from collections.abc import Iterator
from typing import Any

from retrain.errors import GraphError

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # HDF5 File Format Specification, section II.A
MOST_OBJECTS = 200_000  # NASNetLarge has 6,000.
LARGEST_TOTAL = 1 << 33  # bytes: a GraphDef ends at 2 GB; an optimizer keeps up to three more values for each weight.
NUMBERS = "fiub"  # Kinds of NumPy's dtypes: floating-point and whole numbers, booleans.
# Filters of the HDF5 library itself (deflate, shuffle, Fletcher's checksum) and LZF of h5py. Others are loaded as plug-ins.
FILTERS = {1, 2, 3, 32000}
READING_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, NotImplementedError, MemoryError)


def check_hdf5(path: str) -> None:
    """Raise GraphError if the HDF5 file is damaged, reads other files, or declares more data than a network has."""
    import h5py

    total = 0
    try:
        with h5py.File(path, "r") as file:
            for name, dataset in _datasets(h5py, file):
                _check_dataset(name, dataset)
                total += dataset.size * dataset.dtype.itemsize
                if total > LARGEST_TOTAL:
                    raise GraphError(f"Its HDF5 data declare more than {LARGEST_TOTAL} bytes, which no network here has.")
    except READING_ERRORS as error:
        raise GraphError(f"Its HDF5 data are damaged ({error}). Get a new copy.") from error


def _datasets(h5py: Any, file: Any) -> Iterator[tuple[str, Any]]:
    """Yield all datasets with their names. Raise GraphError at a link that is not a plain one, or at too many objects."""
    waiting, seen = [file], {_address(h5py, file)}
    while waiting:
        group = waiting.pop()
        for name in group:
            full = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
                raise GraphError(f"Its HDF5 data have {kind} {full!r}, which could read other files; Keras writes none.")
            member = group[name]
            if (address := _address(h5py, member)) in seen:
                continue
            seen.add(address)
            if len(seen) > MOST_OBJECTS:
                raise GraphError(f"Its HDF5 data have more than {MOST_OBJECTS} objects, which no network has.")
            if isinstance(member, h5py.Group):
                waiting.append(member)
            elif isinstance(member, h5py.Dataset):
                yield full, member
            else:
                raise GraphError(f"Its HDF5 data have {full!r}, which is neither a group nor numbers; Keras writes nothing else.")


def _address(h5py: Any, member: Any) -> Any:
    info = h5py.h5o.get_info(member.id)
    return info.fileno, info.addr


def _check_dataset(name: str, dataset: Any) -> None:
    if dataset.external or dataset.is_virtual:
        raise GraphError(f"Its HDF5 data {name!r} lie in other files; Keras writes none of that kind.")
    if dataset.dtype.kind not in NUMBERS:
        raise GraphError(f"Its HDF5 data {name!r} are no numbers ({dataset.dtype}); Keras writes nothing else.")
    settings = dataset.id.get_create_plist()
    filters = {settings.get_filter(index)[0] for index in range(settings.get_nfilters())}
    if filters - FILTERS:
        raise GraphError(
            f"Its HDF5 data {name!r} need a plug-in (filter {min(filters - FILTERS)}); Keras writes none of that kind."
        )
