"""What the columns of a list are called, in the languages of the spreadsheets that people have."""

import re
import unicodedata
from typing import Final

_WORDS: Final = {
    "email": """
        email, mail, email address, mail address, primary email, contact email, email 1
        email 1 value, work email, work email address, student email, participant email
        email adresse, mail adresse, courriel, adresse courriel, adresse de courriel, mél
        adresse électronique, adresse email, adresse mail, adresse de messagerie
        correo, correo electrónico, dirección de correo, dirección de correo electrónico
        posta elettronica, indirizzo email, indirizzo mail, indirizzo di posta elettronica
        correio eletrônico, correio eletrónico, endereço de email, email adres, mailadres
        epost, epostadress, epostadresse, epost adresse, mejl, mejladress, mailadress
        sähköposti, sähköpostiosoite, adres email, adres mailowy, emailová adresa, email cím
        eposta, eposta adresi, adresa de email, почта, электронная почта, эл почта
        адрес электронной почты, имейл, пошта, електронна пошта, ηλεκτρονικό ταχυδρομείο
        メール, メールアドレス, 邮箱, 电子邮件, 电子邮箱, 邮件地址, 이메일
    """,
    # Where people live, as often as not; taken for an email address only if nothing else is.
    "address": "address, adresse",
    "name": """
        name, full name, display name, recipient, person, participant, student, learner, employee
        trainee, contact, vollständiger name, vor und nachname, vorname und nachname, name vorname
        teilnehmer, teilnehmerin, teilnehmer in, teilnehmende, schüler, schülerin, mitarbeiter
        mitarbeiterin, empfänger, nom, nom complet, nom et prénom, prénom et nom, nom prénom
        prénom nom, participante, destinataire, élève, nombre, nombre completo, alumno
        nombre y apellidos, apellidos y nombre, nome, nome completo, nome e cognome
        cognome e nome, nominativo, partecipante, naam, volledige naam, deelnemer, namn, navn
        deltagare, deltager, deltaker, nimi, imię i nazwisko, uczestnik, jméno a příjmení
        név, teljes név, ad soyad, adı soyadı, isim, nume, фио, имя и фамилия, участник, піб
        ονοματεπώνυμο, 名前, 氏名, 姓名, 名字, 이름, 성명
    """,
    "first": """
        first name, given name, forename, first, vorname, rufname, prénom, voornaam, förnamn
        fornavn, etunimi, imię, jméno, keresztnév, ad, adı, prenume, имя, ім'я, όνομα, 名
    """,
    "last": """
        last name, surname, family name, last, nachname, familienname, zuname, nom de famille
        apellido, apellidos, cognome, sobrenome, apelido, achternaam, efternamn, efternavn
        etternavn, sukunimi, nazwisko, příjmení, vezetéknév, soyad, soyadı, фамилия, прізвище
        επώνυμο, 姓, 성
    """,
}


def _plain(heading: str) -> str:
    """The heading's letters and digits alone, without case and accents."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKD", heading).casefold())


_KINDS: Final = {
    _plain(heading): kind
    for kind, headings in _WORDS.items()
    for heading in re.split(r"[,\n]", headings)
    if heading.strip()
}


def kind(heading: str) -> str:
    """What a column of this name holds: `email`, `address`, `name`, `first`, `last`, or ""."""
    return _KINDS.get(_plain(heading), "")


def columns(cells: list[str]) -> dict[str, int]:
    """Which column holds what, by a heading; empty if this is none, or names no address."""
    found: dict[str, int] = {}
    if any("@" in cell for cell in cells):
        return found
    for index, cell in enumerate(cells):
        if meant := kind(cell):
            found.setdefault(meant, index)
    if "address" in found:
        found.setdefault("email", found.pop("address"))
    return found if "email" in found else {}
