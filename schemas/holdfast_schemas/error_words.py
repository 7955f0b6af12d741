"""The words that PostgreSQL, Python and their drivers use in error messages: none of them says anything of a row.

Lower case. A word that could be a person's, a street's or a product's name must never be added.
"""

_WORDS = """
a able aborted about above absent accept accepted access active admin after again against aggregate all allowed already
also ambiguous an and another any are argument arguments array as assertion assigned at attempt attribute authentication
available away bad base be because been before begin being below between beyond bigint bit block blocked boolean both
broken buffer but by byte bytea bytes call called came can cancel canceled canceling cancelled cannot case cast casting
changed character characters check child client close closed cluster code codec column columns combination command
committed compatible complete concurrent condition configured conflict conflicting conflicts connect connecting
connection connections constraint contain contains context conversion convert converting copy could couldn create
created current currently cursor cyclic data database date datetime deadlock decimal decode decoded decoding default
defined delete deleted denied detected dictionary did different digits dimension directory disabled disconnected
division do does doesn domain double due duplicate during each either element empty enabled encode encoded encoding end
ended ending entry enum equal error errors escape exceed exceeded exceeds exclusion execute exhausted exist existing
exists expected expired expression extra fail failed failing failure false fatal field file finished flag float for
foreign format found from full function generated given got greater had has have hexadecimal hook host identifier if
ignored illegal immutable import in inactive incompatible incomplete incorrect index infinity initialized inner input
insert inside instance instead insufficient integer integrity internal interrupted interval into invalid is isn
isolation it item iterable its join json jsonb key keys keyword kind last late least left length less level limit line
lines list literal lock locked long longer lookup loop lower malformed many mapping match maximum memory message method
minimum mismatch missing mode module more most must name named nan near need needs negative nested network never new no
node non none not nothing null number numeric object of off offset on one only open operand operation operator operators
option or order other out output over overflow overlaps owner parameter parameters parent parse part partition peer
permission permitted policy port position positional positive precision prepared present primary privilege privileges
problem procedure process property protocol query quoted range reached read reading real received record recovery
recursion reference referenced references refused regular relation remaining replication required requires reserved
reset resource respond response result results retry return returned role rollback rolled row rows running same
savepoint scale schema second sequence serialization serialize server session set shape shared should shut shutdown
shutting side size slot smallint socket some source space ssl standby start started state statement still stop stopped
storage string subquery subscriptable success such supported surrogate syntax system table takes target temporary
terminated terminating text than that the their then there this time timed timeout timestamp timezone to token too total
transaction trigger true truncated tuple two type types unable unavailable unbound undefined under unexpected unhandled
unhashable unique unknown unpack unreachable unrecognized unsupported until update updated upper usage use used user
using utf uuid valid value values varchar variable varying version view violate violates violation waiting was wasn went
were when where which while with within without work worker write writing wrong year yet zero zone
"""

ERROR_WORDS = frozenset(_WORDS.split())
