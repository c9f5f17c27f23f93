// Search filters as text: what is one, and that what is put into one stays a value.
#include <gtest/gtest.h>

#include <string>

#include "buf.h"
#include "ldap_filter.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

std::string Put(const std::string &filter, const std::string &domain)
{
    std::string bytes(4096, '\0');
    struct buf out;
    buf_init(&out, bytes.data(), bytes.size());
    ldap_filter_put(&out, S(filter), S(domain));
    EXPECT_FALSE(out.overflow);
    return bytes.substr(0, out.len);
}

std::string Nested(int depth)
{
    std::string text = "(a=b)";
    for (int i = 1; i < depth; i++) text = "(!" + text + ")";
    return text;
}

TEST(LdapFilter, WhatIsOne)
{
    const struct { const char *text; bool is; } cases[] = {
        { "(cn=Babs Jensen)", true },
        { "(!(cn=Tim Howes))", true },
        { "(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))", true },
        { "(o=univ*of*mich*)", true },
        { "(seeAlso=)", true },
        { "(cn:caseExactMatch:=Fred Flintstone)", true },
        { "(cn:=Betty Rubble)", true },
        { "(:1.2.3:=Wilma Flintstone)", true },
        { "(sn:dn:2.4.6.8.10:=Barney Rubble)", true },
        { "(o=Parens R Us \\28for all your parenthetical needs\\29)", true },
        { "(1.3.6.1.4.1.1466.0=\\04\\02\\48\\69)", true },
        { "(uid>=a)", true },
        { "(uid<=a)", true },
        { "(cn~=x)", true },
        { "(mail=*@{domain})", true },
        { "", false },
        { "cn=a", false },
        { "(cn=a", false },
        { "(cn=a))", false },
        { "(cn=a)(cn=b)", false },
        { "()", false },
        { "(&)", false },
        { "(!(a=b)(c=d))", false },
        { "(=a)", false },
        { "(cn)", false },
        { "(c n=a)", false },
        { "(cn=a\\)", false },
        { "(cn=a\\2)", false },
        { "(cn=a\\zz)", false },
        { "(cn=a(b)", false },
        { "(cn>=a*)", false },
        { "(cn:dn=a)", false },
        { "(|(a=b) (c=d))", false },
        { "({domain}=a)", false },
    };
    for (const auto &c : cases) EXPECT_EQ(c.is, ldap_filter_is_valid(S(c.text))) << c.text;
    EXPECT_FALSE(ldap_filter_is_valid(S(std::string("(a=b\0)", 6))));
    EXPECT_TRUE(ldap_filter_is_valid(S(Nested(LDAP_FILTER_DEPTH_MAX))));
    EXPECT_FALSE(ldap_filter_is_valid(S(Nested(LDAP_FILTER_DEPTH_MAX + 1))));
    EXPECT_TRUE(ldap_filter_is_valid(S("(a=" + std::string(LDAP_FILTER_MAX_BYTES - 4, 'b') + ")")));
    EXPECT_FALSE(ldap_filter_is_valid(S("(a=" + std::string(LDAP_FILTER_MAX_BYTES - 3, 'b') + ")")));
}

TEST(LdapFilter, Attributes)
{
    for (const char *name : { "mail", "2.5.4.3", "cn;lang-de", "x-y" }) EXPECT_TRUE(ldap_attribute_is_valid(S(name))) << name;
    for (const char *name : { "", "a b", "cn=", "a)(b", "-a", "m\xc3\xa4il" }) EXPECT_FALSE(ldap_attribute_is_valid(S(name))) << name;
    EXPECT_FALSE(ldap_attribute_is_valid(S(std::string(65, 'a'))));
}

TEST(LdapFilter, WhatIsPutInIsAValue)
{
    const struct { const char *filter, *domain, *result; } cases[] = {
        { "(mail=*@{domain})", "example.org", "(mail=*@example.org)" },
        { "(|(a={domain})(b={domain}))", "x.y", "(|(a=x.y)(b=x.y))" },
        { "(a={domain})", "*)(uid=*", "(a=\\2a\\29\\28uid=\\2a)" },
        { "(a={domain})", "\\", "(a=\\5c)" },
        { "(a={domain})", "\xc3\xa4", "(a=\\c3\\a4)" },
        { "(a={domai})", "x", "(a={domai})" },
        { "(a={domain}", "{domain}", "(a={domain}" },
    };
    for (const auto &c : cases) EXPECT_EQ(c.result, Put(c.filter, c.domain)) << c.filter;
    EXPECT_EQ(std::string("(a=\\00b)"), Put("(a={domain})", std::string("\0b", 2)));
}

} // namespace
