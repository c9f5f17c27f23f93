// test_directory.h: a directory of a test's own, which goes with it; what a file holds.
#ifndef MAIL_TEST_DIRECTORY_H
#define MAIL_TEST_DIRECTORY_H

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

class TestDirectory {
public:
    TestDirectory()
    {
        char name[] = "/tmp/godwit_test_XXXXXX";
        EXPECT_NE(nullptr, mkdtemp(name));
        path = name;
    }
    ~TestDirectory() { std::filesystem::remove_all(path); }
    TestDirectory(const TestDirectory &) = delete;
    TestDirectory &operator=(const TestDirectory &) = delete;

    std::string path;
};

// Empty: it is empty, or there is none.
inline std::string ReadFile(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

#endif
