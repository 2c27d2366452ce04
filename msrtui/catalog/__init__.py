"""What is known of model-specific registers without asking any machine.

Their names (``names``), their bit fields (``fields``) and the arrays of KVM's source that hold their indices
(``arrays``), each with its table beside it as JSON, whose header says what made it. A leaf: any package may
import it, and it imports none of them.
"""

from msrtui.catalog.arrays import Entry, Placement, kernel_entries, known_kernels, place
from msrtui.catalog.fields import DecodedField, Field, MsrLayout, bit_name, decode, layout_of
from msrtui.catalog.names import UnknownMsr, find_msr, known_msrs, names_of, other_names_on, short_name

__all__ = [
    "DecodedField",
    "Entry",
    "Field",
    "MsrLayout",
    "Placement",
    "UnknownMsr",
    "bit_name",
    "decode",
    "find_msr",
    "kernel_entries",
    "known_kernels",
    "known_msrs",
    "layout_of",
    "names_of",
    "other_names_on",
    "place",
    "short_name",
]
