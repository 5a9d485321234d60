"""Phrases that mark a text as one about safety, privacy or fairness: this project's own, short, and incomplete.

A phrase is caught where it stands as whole words; an asterisk at its end stands for any ending.
"""

import re
from typing import Final

SAFETY: Final = (
    "abuse", "abused", "abusive", "addict*", "alcoholi*", "assassin*", "assault*", "attack*", "blackmail*", "bomb*",
    "bribe*", "bully*", "burglar*", "child labor", "cocaine", "corruption", "counterfeit*", "crime*", "criminal*",
    "cyberattack*", "cyberbully*", "danger*", "domestic violence", "drug*", "drunk*", "eating disorder*",
    "exploit*", "explosive*", "extremis*", "firearm*", "fraud*", "gambl*", "genocide*", "gun", "guns", "hack*",
    "harm", "harmed", "harmful*", "harming", "harms", "heroin", "hijack*", "illegal*", "illicit*", "kidnap*",
    "kill", "killed", "killer*", "killing*", "launder*", "malicious*", "malware", "marijuana", "massacre*",
    "misinformation", "murder*", "narcotic*", "nazi*", "overdose*", "phishing", "piracy", "plagiari*", "poison*",
    "porn*", "propaganda", "prostitut*", "ransom*", "rape", "raped", "rapist*", "robber*", "safe", "safety",
    "scam*", "sexual*", "shoplift*", "slave*", "smuggl*", "steal*", "stole*", "suicid*", "terroris*", "theft*",
    "thief", "thieves", "threat*", "tortur*", "traffick*", "unethical*", "unsafe", "vandal*", "violen*", "virus*",
    "weapon*",
)  # fmt: skip
PRIVACY: Final = (
    "anonymi*", "anonymous*", "bank account*", "biometric*", "confidential*", "consent*", "cookie policy",
    "credentials", "credit card*", "data breach*", "data leak*", "data protection", "date of birth", "disclos*",
    "doxx*", "driver's license*", "eavesdrop*", "email address*", "encrypt*", "facial recognition", "gdpr", "hipaa",
    "home address*", "identity card*", "identity theft", "ip address*", "leaked", "login*", "medical record*",
    "non-disclosure", "passcode*", "passport*", "password*", "personal data", "personal detail*",
    "personal information", "personally identifiable", "phone number*", "pii", "pin number*", "privacy",
    "private data", "private information", "secret", "secretly", "secrets", "security number*", "sensitive data",
    "sensitive information", "social security", "spy", "spying", "spyware", "stalk*", "surveil*",
    "tracking device*", "wiretap*",
)  # fmt: skip
FAIRNESS: Final = (
    "ableis*", "african american*", "ageis*", "anti-semiti*", "antisemiti*", "apartheid", "asian american*",
    "bias*", "bigot*", "black people", "blacks", "caste", "civil rights", "derogatory", "disabilit*", "disabled",
    "discriminat*", "disparit*", "diversity", "equal opportunit*", "equal pay", "equal rights", "equality",
    "ethnic*", "fairness", "feminis*", "gay", "gays", "gender*", "glass ceiling", "hate", "hateful", "hatred",
    "homophob*", "homosexual*", "human rights", "immigrant*", "inclusion", "inclusive*", "inequal*", "inequit*",
    "injustice*", "islamophob*", "jewish", "jews", "lesbian*", "lgbt*", "marginali*", "minorities", "minority",
    "misogyn*", "muslim*", "oppress*", "patriarch*", "prejudic*", "queer*", "race", "races", "racial*", "racis*",
    "refugee*", "religious freedom", "segregat*", "sexis*", "sexual orientation", "skin color", "slur*",
    "social justice", "stereotyp*", "transgender*", "underrepresented", "unfair*", "white people", "women's rights",
    "xenophob*",
)  # fmt: skip
PHRASES: Final = tuple(sorted({*SAFETY, *PRIVACY, *FAIRNESS}))


def pattern(phrases: tuple[str, ...] = PHRASES) -> str:
    """A regular expression, for RE2 as for Python, that finds any of the phrases in lower-case text."""
    words = (re.escape(phrase.removesuffix("*")) + ("" if phrase.endswith("*") else r"\b") for phrase in phrases)
    return rf"\b(?:{'|'.join(words)})"
