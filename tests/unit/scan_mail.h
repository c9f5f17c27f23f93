// Mails for the scanner's tests: EICAR in many wrappings, and what is harmless.
#ifndef MAIL_TEST_SCAN_MAIL_H
#define MAIL_TEST_SCAN_MAIL_H

#include <cstdint>
#include <string>
#include <vector>

struct ScanMail {
    const char *what;
    std::string text;
    const char *part, *file_name; // where it is to be found; nullptr: not said
};

std::string Eicar();
std::vector<ScanMail> EicarMails();
std::vector<ScanMail> HarmlessMails();
std::string EncryptedZipMail();
// A few kilobytes that unpack to much.
std::string ZipBombMail();
// Harmless: an archive in an archive and so on, `depth` of them, with `files` in the innermost.
std::string ArchiveMail(unsigned depth, unsigned files);
// Harmless, with one attachment in base64; about `size` bytes.
std::string BigMail(size_t size);

#endif
