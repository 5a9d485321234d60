import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from safetensors import SafetensorError

from spin_hub.checkpoint.header import read_header
from spin_hub.core.dtypes import BITS, EDITABLE, NAMES, itemsize


def file_of_eight(code, nbytes):
    entry = {"a": {"dtype": code, "shape": [8], "data_offsets": [0, nbytes]}}
    header = json.dumps(entry).encode()
    return len(header).to_bytes(8, "little") + header + bytes(nbytes)


@pytest.mark.parametrize("code", sorted(BITS))
def test_eight_elements_have_as_many_bytes_as_one_has_bits(code):
    ((_, tensor),) = safetensors.deserialize(file_of_eight(code, BITS[code]))
    assert (tensor["dtype"], len(tensor["data"])) == (code, BITS[code])


@pytest.mark.parametrize("code", sorted(BITS))
def test_the_safetensors_library_refuses_another_size(code):
    with pytest.raises(SafetensorError):
        safetensors.deserialize(file_of_eight(code, BITS[code] + 1))


@pytest.mark.parametrize("code", sorted(NAMES))
def test_the_writer_turns_a_name_into_its_code(code):
    data = np.zeros(3 * itemsize(code), np.uint8)
    spec = safetensors.TensorSpec(dtype=NAMES[code], shape=[3], data_ptr=data.ctypes.data, data_len=data.nbytes)
    safetensors.serialize_file({"a": spec}, "file")
    assert read_header(Path("file")).spans["a"].dtype == code


@pytest.mark.parametrize("code", sorted(NAMES))
def test_torch_knows_the_name_with_the_same_size(code):
    assert getattr(torch, NAMES[code]).itemsize == itemsize(code)


@pytest.mark.parametrize("code", sorted(EDITABLE))
def test_an_editable_element_with_all_bits_off_is_zero(code):
    zeros = torch.zeros(itemsize(code), dtype=torch.uint8).view(getattr(torch, NAMES[code]))
    assert zeros.float().tolist() == [0.0]


@pytest.mark.parametrize("code", sorted(EDITABLE))
def test_an_editable_type_has_a_name(code):
    assert code in NAMES


@pytest.mark.parametrize("code", ["F4", "F6_E2M3", "F6_E3M2"])
def test_packed_types_have_no_size_of_one_element(code):
    with pytest.raises(ValueError, match=code):
        itemsize(code)


def test_an_unknown_code_has_no_size():
    with pytest.raises(KeyError):
        itemsize("Q4_K")


def test_the_tables_cannot_be_changed():
    for table in (BITS, NAMES):
        with pytest.raises(TypeError):
            table["F32"] = 0
