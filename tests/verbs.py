"""The verbs with their request objects, as the command line calls them."""

from spin_hub.workflows.apply import apply as apply
from spin_hub.workflows.score import score as score
from spin_hub.workflows.select import select as select
