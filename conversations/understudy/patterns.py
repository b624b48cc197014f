"""The moves a line can make, and the plain English patterns that give them away."""

import re
from collections.abc import Sequence
from enum import StrEnum


class Move(StrEnum):
    """One kind of thing a line can do in a difficult conversation."""

    OUT_OF_ROLE = "out_of_role"
    THREATENED = "threatened"
    ACCUSED = "accused"
    ORDERED = "ordered"
    APOLOGISED = "apologised"
    FEELING = "feeling"
    SPECIFIC = "specific"
    I_STATEMENT = "i_statement"
    OPEN_QUESTION = "open_question"
    PROPOSAL = "proposal"
    CLOSED_QUESTION = "closed_question"
    GAVE_IN = "gave_in"
    FORMULA = "formula"
    OFF_TOPIC = "off_topic"
    GREETING = "greeting"
    FAREWELL = "farewell"
    SHORT = "short"
    UNCLEAR = "unclear"
    STATEMENT = "statement"


HOT = frozenset({Move.THREATENED, Move.ACCUSED, Move.ORDERED})
WARM = frozenset(
    {
        Move.APOLOGISED,
        Move.FEELING,
        Move.SPECIFIC,
        Move.I_STATEMENT,
        Move.OPEN_QUESTION,
        Move.PROPOSAL,
    }
)
# These say little about a line when something else in it says more.
FAINT = frozenset({Move.STATEMENT, Move.GREETING, Move.FAREWELL, Move.SHORT, Move.UNCLEAR})

_FEELINGS = (
    r"(?:upset|angry|anger|frustrat\w+|worr(?:y|ied|ying)|scared|afraid|frighten\w*|fear"
    r"|hurts?|hurtful"
    r"|sad|tired|tiring|exhaust\w+|stress\w*|hard|difficult|tough|disappoint\w+|overwhelm\w+|lonely"
    r"|alone|proud|pride|ashamed|embarrass\w+|anxious|nervous|furious|mad|heavy|pain\w*|awful"
    r"|terribl[ey]|unfair|pressure|shock\w*|helpless|let down|rough|horrible|unbearable"
    r"|miss(?:ing)?"
    r"|loss|lost|grie[fv]\w*|guilt\w*|annoy\w+|bitter|care|cares|love|loves|lot)"
)
_WHERE_SURE = r"(?:really |so |very |clearly |obviously |feeling |quite |still |pretty |just )*"

# In the order they are tried: the first that matches names the sentence.
_SOURCES: Sequence[tuple[Move, str]] = (
    (
        Move.OUT_OF_ROLE,
        r"\b(?:system|hidden|initial|secret) (?:prompt|message)|\byour (?:prompt|programming)\b"
        r"|\b(?:your|the) (?:\w+ )?instructions\b(?! (?:manual|leaflet))"
        r"|\bignore (?:all |any |your |the |my )*(?:previous |prior |above |earlier )*"
        r"(?:instructions|rules|prompts?)"
        r"|\bare you (?:really |actually |just )?(?:an? )?(?:ai|a\.i\.|bot|robot|chat ?bot|machine"
        r"|language model|computer|program|real)\b"
        r"|\byou(?:'re| are) (?:really |actually |just |only )*(?:an? )?(?:ai|bot|robot|chat ?bot"
        r"|machine|language model|computer|program|assistant)\b"
        r"|\bas an ai\b|\bstop (?:acting|role-? ?playing|pretending)\b"
        r"|\b(?:break|out of) character\b|\b(?:chatgpt|openai|anthropic|llm)\b",
    ),
    (
        Move.THREATENED,
        r"\bor else\b|\blast (?:chance|warning)\b|\bthere(?:'ll| will) be consequences\b"
        r"|\byou(?:'ll| will) (?:regret|be sorry|pay for|hear from my lawyer)"
        r"|\b(?:i'll|i will|i'm going to|i am going to|we'll|we will|i'd have to|i'll have to)"
        r" (?:just |simply |have to )?(?:quit|resign|walk out|sue|hang up|leave you|fire you"
        r"|report (?:you|this|him|her)|call (?:the police|security|my lawyer|social services)"
        r"|go to (?:hr|inge|the press|a competitor|your (?:boss|manager)|the (?:boss|authorities))"
        r"|tell (?:everyone|your boss|the boss|hr|inge)|suspend|expel)"
        r"|\b(?:or|(?:or )?else|otherwise|unless\b[^.?!]{1,120}),? (?:i|we)"
        r"(?:'ll| will| am going to| are going to|'m going to|'re going to)? (?:just |simply )?"
        r"(?:quit|resign|look elsewhere|leave(?! (?:it|this|that|these|some|an?)\b)"
        r"|walk(?! (?:you|us|him|her|them|through|the)\b)"
        r"|go(?= *(?:$|[.,;!?])| (?:elsewhere|home|somewhere else)\b))\b"
        r"|\b(?:or|(?:or )?else|otherwise|unless\b[^.?!]{1,120}),? (?:i'm|i am|we're|we are)"
        r" (?:leaving|quitting|resigning|walking (?:out|away)|gone|out of here)\b"
        r"|\bif you (?:don't|do not|won't|keep|can't|refuse)\b[^.?!]{0,120}"
        r"\b(?:i'll|i will|i'm|i am going|we'll|we will|then i)\b",
    ),
    (
        Move.ACCUSED,
        r"\byou (?:always|never|constantly|only ever|keep)\b|\byou people\b|\bpeople like you\b"
        r"|\byou(?:'re| are) (?:being |so |such an? |too |really |just |always |completely |totally"
        r" |an? |very |the )*(?:wrong|rude|selfish|lazy|stupid|ridiculous|unfair|unreasonable"
        r"|ignorant|defensive|impossible|difficult|childish|liar|lying|hypocrite|idiot|dumb|crazy"
        r"|insane|careless|sloppy|unprofessional|stubborn|aggressive|overreacting|dramatic"
        r"|incompetent|useless|bigot|racist|problem|bad (?:parent|mother|father|boss|manager))\b"
        r"|\b(?:it's|this is|that's|it is|all) (?:all |entirely )?your (?:own )?fault\b"
        r"|(?:\bnot|n't) (?:\w+ )?(?:my|our) (?:fault|mistake|job|problem|responsibility)\b"
        r"[^.?!]*\b(?:it's|that's|it is|that is) (?:all |just |really )?yours?\b"
        r"|\byour fault\b|\bit(?:'s| is) (?:so |really |just )?unfair that\b|\b(?:he|she"
        r"|they) (?:always"
        r"|never|cheated|lied)\b|\bwhat(?:'s| is) wrong with you\b|\bhow (?:could|dare) you\b"
        r"|\bshame on you\b|\bblame you\b"
        r"|\byou (?:don't|do not|didn't|did not|can't|won't) (?:even |ever |really )*"
        r"(?:care|listen|understand|get it|bother|respect|try|do your)"
        r"|\byou (?:ruined|broke|lied|screwed|messed|blew|failed|ignored|made me|cheated)\b"
        r"|\b(?:is|are|was|'s) (?:just |so |really |very |being |an? )*(?:lazy|cheat|cheater|liar"
        r"|spoil(?:ed|t)|stupid|dumb|nonsense|ridiculous|rubbish|garbage|bullshit|disruptive"
        r"|problem child)\b|\b(?:idiot|moron|bullshit|asshole|shut up|screw you|fuck\w*)\b",
    ),
    (
        Move.FORMULA,
        r"\b(?:any|the|this) inconvenience\b|\bvalued customer\b|\byour (?:patience|frustration)\b"
        r"|\b(?:our|company|school|the) policy\b|\bwe take (?:this|that|it) very seriously\b"
        r"|\bsorry (?:that |if )?you feel\b|\bit is what it is\b|\bfor a reason\b"
        r"|\bwith all due respect\b|\bno offen[cs]e\b",
    ),
    (
        Move.FEELING,
        r"\byou(?:'re| are| have| had) (?:every |a |all the )?right to (?:be|feel)\b"
        rf"|\b(?:that|this|it|you|he|she) (?:must|sounds?|seems?"
        rf"|looks?)\b[^.?!]{{0,60}}\b{_FEELINGS}\b"
        r"|\b(?:i|we) (?:can |do |really |completely |totally |fully )*(?:see|hear|understand"
        r"|imagine"
        r"|sense|appreciate|get|know) (?:that |this |how |why |what |it'?s? |you|it must )"
        r"|\b(?:i|we) (?:do |really |completely )*(?:understand|appreciate) (?:the|your)\b"
        rf"|\byou(?:'re| are| feel| felt) {_WHERE_SURE}{_FEELINGS}\b(?! on\b)"
        rf"|\b(?:that|this|it)(?:'s| is| was) {_WHERE_SURE}(?:an? )?{_FEELINGS}\b"
        r"|\bno wonder\b|\banyone would (?:feel|be)\b|\bmakes sense (?:that|you|to)\b"
        rf"|\bi(?:'d| would) (?:be|feel) {_WHERE_SURE}{_FEELINGS}"
        r"|\bthank(?:s| you) for (?:telling|saying|sharing|trusting|being (?:honest|open))"
        r"|\b(?:you|he|she) (?:must )?miss(?:es)?\b|\btake your time\b|\bi'm here (?:with"
        r"|for) you\b"
        r"|\byou (?:promised|wanted) (?:her|him|your)\b|\byou love (?:him|her)\b|\bi hear you\b",
    ),
    (
        Move.ORDERED,
        r"(?<!\bwe )\b(?:let it go|drop it)\b"
        r"|\b(?:calm down|shut it|get over it|grow up|be quiet|stop it|relax)\b"
        r"|\bdon't be (?:so )?(?:upset|angry|sad|silly|dramatic|defensive|ridiculous|difficult)\b"
        r"|\b(?:stay|think|be) positive\b|\byou(?:'d| had) better\b"
        r"|\byou (?:just |really |simply |also )?(?:need to|have to|must|should|ought to"
        r"|are going to have to|are going to)\b(?! (?:be|feel|have been) )(?![^.]*\?)"
        r"|\bi (?:want|expect|order|demand|need|require) you to\b"
        r"|^(?:please |just |now |so |then |and )*(?:do|make|fix|give|send|go|stop|quit|leave|admit"
        r"|apologi[sz]e|listen|pay|sign|hurry|accept|get|put|keep|wait|try|don't)\b(?! you\b)",
    ),
    (
        Move.GAVE_IN,
        r"\byou(?:'re| are) (?:absolutely |completely |totally |probably |so |of course )*right"
        r"(?= *(?:$|[.,!;]| and| but| i))|\bnever ?mind\b|\bforget (?:it|i said|i asked|about it)\b"
        r"|\bwhatever you (?:say|want|like|think|need)\b|\bi give up\b|\bhave it your way\b"
        r"|\byou win\b|\bit doesn't matter\b|\bdon't worry about it\b|\bno big deal\b"
        r"|\bi'll just (?:do it|accept|wait|drop)\b|\bi agree with everything\b",
    ),
    (
        Move.APOLOGISED,
        r"\b(?:i'm|i am|we're|we are) (?:so |very |really |truly |deeply |terribly )*sorry\b"
        r"|\b(?:i|we) apologi[sz]e\b|\bmy apologies\b|\b(?:my|our) (?:fault|mistake|bad)\b"
        r"|\b(?:i|we) (?:was|were) wrong\b|^sorry\b|\bforgive me\b|\b(?:i|we)(?:'ve"
        r"| have)? let you down"
        r"|\b(?:i|we) (?:should have|should've|shouldn't have|could have)\b|\bthat's on (?:me"
        r"|us)\b",
    ),
    (
        Move.PROPOSAL,
        r"^(?:so |and |then |but |maybe |well |perhaps |okay |ok )*(?:shall|could|can|should|may"
        r"|might) (?:we|i|he|she|they)\b|^if (?:i|we)\b[^?!]* (?:can|could|would|will) you\b"
        r"|\b(?:i|we) (?:can|could) (?:bring|send|offer|arrange|lend|help)\b"
        r"|\b(?:what if|why don't|how about if|how would it be if)"
        r" (?:we|you and (?:i|me)|(?:me|i) and you|the two of us|both of us)\b"
        r"|\bhow about\b|^let's\b"
        r"|\bwould you (?:like|be willing|be open|be ready|show me|let me|join|consider|agree)\b"
        r"|\bi(?:'d| would) (?:suggest|propose|offer)\b"
        r"|\b(?:i|we)(?:'ll| will) (?:personally )?(?:call|ring|send|take|bring|talk|speak"
        r"|make sure"
        r"|check|come|stay|be there|help|book|write|do|arrange|find out|come back)\b",
    ),
    (
        Move.OPEN_QUESTION,
        r"^(?:please |so |and |well |okay |ok |then |but )*(?:tell me|help me understand|say more"
        r"|walk me through|talk me through|describe|i'd (?:like|love) to (?:hear|understand"
        r"|know))\b"
        r"|^(?:so |and |but |well |okay |ok |then |now |hm+ |alright |right )*"
        r"(?:what|how|why|when|where|who|which)(?:'s|'d|'re)?"
        r"(?: \w+)? ?(?:is|are|was|were|do|does|did|can|could|would|will|should|has|have|had|makes?"
        r"|made|happened|happens|about|if|'s|it|needs?)\b"
        r"|\b(?:can|could|would|will) you (?:please )?(?:tell|show|help|walk|explain|describe"
        r"|say)\b"
        r"[^.?!]*\b(?:what|how|why|more|about|where|who)\b",
    ),
    (
        Move.CLOSED_QUESTION,
        r"^(?:so |and |but |well |okay |then )*(?:do|does|did|is|are|was|were|can|could|would|will"
        r"|have|has|shall|may|don't|isn't|aren't|won't|can't|couldn't) "
        r"(?:you|we|i|he|she|it|they|that|this|there)\b",
    ),
    (
        Move.FAREWELL,
        r"^(?:well |okay |ok |so |thanks |thank you |alright )*(?:good ?bye|bye|see you|good night"
        r"|talk (?:to you )?(?:soon|later)|take care|have a (?:good|nice|lovely))\b",
    ),
    (
        Move.GREETING,
        r"^(?:hi|hello|hey|good (?:morning|afternoon|evening)|happy (?:holidays|thanksgiving"
        r"|new year)"
        r"|merry christmas|how are you|how's it going|nice to (?:see|meet)|good to see"
        r"|long time no see|thank(?:s| you)(?: \w+){0,2} for (?:coming|making|your time|meeting"
        r"|taking|seeing|calling|waiting|joining|having|holding)|welcome)\b",
    ),
    (
        Move.SPECIFIC,
        r"\d|\b(?:for example|for instance|specifically|yesterday|tomorrow|this (?:morning|week)"
        r"|last (?:week|month|year|night|spring|summer|autumn|fall|winter)|per ?cent|twice|o'clock"
        r"|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand"
        r"|(?:on|last|by|until|this|next) (?:mon|tues|wednes|thurs|fri|satur|sun)day"
        r"|(?:in|since) (?:january|february|march|april|may|june|july|august|september|october"
        r"|november|december))\b",
    ),
    (
        Move.I_STATEMENT,
        r"\b(?:i|we) (?:really |just |also |still |do |honestly |often |only )*(?:feel|felt"
        r"|need|want"
        r"|wanted|would like|worry|hope|wish|care|love|value|struggle|miss|noticed|believe)\b"
        r"(?! (?:like |that |as if )?you\b)|\b(?:i|we)'d (?:really )?(?:like|love|rather)\b"
        rf"|\bi(?:'m| am| was) {_WHERE_SURE}(?:{_FEELINGS}|concerned|glad|grateful|happy|torn)\b"
        r"|\b(?:hurts?|matters? to|worries|helps?|upsets?|means? (?:a lot|so much) to) me\b"
        r"|\bi (?:don't want|see it differently|think differently|disagree|don't know)\b|^for me\b",
    ),
    (
        Move.OFF_TOPIC,
        r"\b(?:weather|football|soccer|basketball|baseball|movies?|films?|netflix|recipe|joke|poem"
        r"|song|bitcoin|crypto|capital of|python|javascript|source code|translate|write me"
        r"|horoscope|pizza|video ?games?)\b",
    ),
)
PATTERNS = tuple((move, re.compile(pattern)) for move, pattern in _SOURCES)
