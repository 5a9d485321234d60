"""Where the tensors of a Hub model lie, from its shards' headers alone."""

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError, NotASafetensorsRepoError, SafetensorsParsingError

from spin_hub.checkpoint.header import TensorSpan
from spin_hub.errors import CorruptFile, HubUnreachable
from spin_hub.hub.reasons import reason


def remote_spans(repo_id: str, commit: str) -> dict[str, tuple[str, TensorSpan]]:
    """Tensor name -> (shard, span); the headers are read by range requests, the spans count from their end.

    Raises:
        CorruptFile: a header that does not parse.
        HubUnreachable: no answer.
    """
    try:
        metadata = HfApi().get_safetensors_metadata(repo_id, revision=commit)
    except (NotASafetensorsRepoError, SafetensorsParsingError) as error:
        raise CorruptFile(path=repo_id, why="its safetensors headers cannot be read") from error
    except (HTTPError, OSError) as error:
        raise HubUnreachable(model=repo_id, why=reason(error, "model")) from error
    return {
        name: (shard, TensorSpan(info.dtype, tuple(info.shape), begin, end - begin))
        for shard, content in metadata.files_metadata.items()
        for name, info in content.tensors.items()
        for begin, end in [info.data_offsets]
    }
